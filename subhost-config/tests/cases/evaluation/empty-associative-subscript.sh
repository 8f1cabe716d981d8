declare -A M
M[]=x
