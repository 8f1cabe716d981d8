declare -a A=()
declare -a D=([0]="")
