declare -a B=([0]="" [1]="")
declare -- D="1"
declare -- IFS=""
declare -- x=" "
