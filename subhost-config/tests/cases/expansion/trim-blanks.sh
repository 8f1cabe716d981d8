shopt -s extglob
A='  x y  ' B=${A##+([[:space:]])} C=${B%%+([[:space:]])}
