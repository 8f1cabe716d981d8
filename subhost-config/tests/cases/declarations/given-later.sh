declare A
A=1
declare -x X
X=2
