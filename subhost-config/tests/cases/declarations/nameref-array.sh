declare -n R=A
A=(a b)
R+=(c)
B=("${R[@]}") C=${!R}
