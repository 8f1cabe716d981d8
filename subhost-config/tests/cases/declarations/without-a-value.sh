declare A
declare -i I
declare -x X
B=1
