declare -a A=([0]="I" [1]="IFS")
declare -- I="1"
