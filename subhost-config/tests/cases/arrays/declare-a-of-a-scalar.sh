A=s; declare -a A; declare -a A+=x
