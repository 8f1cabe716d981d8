declare -a IFS=([0]="x")
