for x in 1 2; do for y in a b; do A+=$x$y; break 2; done; B=no; done
for x in 1 2; do for y in a b; do C+=$x$y; continue 2; done; D=no; done
