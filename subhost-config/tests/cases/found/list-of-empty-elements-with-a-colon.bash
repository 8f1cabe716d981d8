declare -a A=([0]="")
declare -- B="x"
