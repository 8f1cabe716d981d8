declare -A M
M=([])
