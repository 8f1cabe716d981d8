declare -a A
declare -a B=()
