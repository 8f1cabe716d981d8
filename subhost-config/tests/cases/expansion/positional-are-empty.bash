declare -- A=""
declare -- B=""
declare -- C="0"
declare -a D=([0]="")
declare -- E="d"
declare -- F=""
