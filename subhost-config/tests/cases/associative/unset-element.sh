declare -A M=([a]=1 [b]=2)
unset 'M[a]'
unset M[b]
M[c]=3
