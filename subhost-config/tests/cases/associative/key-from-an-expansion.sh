declare -A M
X=k
M[${X}1]=a M["$X"2]=b M[${U:-d}]=c
