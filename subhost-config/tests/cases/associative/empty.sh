declare -A M
declare -A N=()
A=${#M[@]} B=("${M[@]}")
