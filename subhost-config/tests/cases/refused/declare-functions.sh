declare -f f
export -f f
