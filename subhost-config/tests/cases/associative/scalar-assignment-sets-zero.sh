declare -A M=([a]=1)
M=x
A=$M
