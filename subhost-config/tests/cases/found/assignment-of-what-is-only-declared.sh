typeset C
B=(${C[@]@A}"")
