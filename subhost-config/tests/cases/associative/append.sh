declare -A M=([a]=1)
M+=([b]=2 [a]=3)
M+=([a]+=4)
