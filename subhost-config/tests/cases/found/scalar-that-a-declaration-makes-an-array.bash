declare -a A=()
declare -a B=([0]="3")
