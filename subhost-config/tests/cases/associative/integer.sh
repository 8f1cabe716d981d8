declare -iA M=([x]=1+1)
M[x]+=3 M[y]=2*2
