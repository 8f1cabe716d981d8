declare -a A=([0]="" [1]="")
declare -a D=()
declare -- x=""
