declare -a A=([0]="1" [1]="2")
declare -- B=""
declare -a C=([0]="1" [1]="2")
