declare -A M=([é]=1 [日本]=2)
