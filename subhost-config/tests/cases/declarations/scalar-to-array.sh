A=x
declare -a A
B=y
declare -a B=(z)
