declare -A M=([y]=2)
M=([y]= [y]+=1)
declare -A N=([y]=/ [y]+=)
