declare -A M=(a 1 b 2 c)
