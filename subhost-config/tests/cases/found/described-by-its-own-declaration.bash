declare -a A=([0]="'0'")
