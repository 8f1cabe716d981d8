declare -x A=1
declare +x A
export B=2
export -n B
declare -i I=1
declare +i I
I=1+1
