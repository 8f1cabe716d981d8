declare -rA M=([x]=1)
