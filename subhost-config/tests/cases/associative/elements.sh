declare -A M
M[a]=1 M[b c]=2 M["d e"]=3
M[a]+=x
