A=(1 2)
declare -A A
