declare -a A=([0]="IIFS")
declare -- I="1"
declare -- IFS=""
