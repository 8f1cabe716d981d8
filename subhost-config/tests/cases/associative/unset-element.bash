declare -A M=([c]="3" )
