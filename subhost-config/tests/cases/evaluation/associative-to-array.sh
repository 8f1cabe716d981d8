declare -A M=([x]=1)
declare -a M
