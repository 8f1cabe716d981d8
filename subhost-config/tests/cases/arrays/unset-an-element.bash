declare -a A=([0]="a")
