declare -A M
I=5
M[I]=a M[$I]=b M[1+1]=c M[01]=d
