declare -A M=([x]=2)
((M[x]+=3)); ((M[y]=7)); A=$((M[x]*2))
