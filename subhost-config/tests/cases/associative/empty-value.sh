declare -A M=([a]= [b]="")
