declare -A M=([c]="" )
