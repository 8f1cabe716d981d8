declare -ix A=1
unset A
A=1+1
