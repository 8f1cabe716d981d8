declare -A M=([y]=2)
M=([y]=a [y]+=b [z]+=c [z]+=d)
