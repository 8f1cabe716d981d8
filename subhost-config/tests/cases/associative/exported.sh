declare -xA M=([x]=1)
