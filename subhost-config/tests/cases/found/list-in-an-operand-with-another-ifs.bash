declare -a A=([0]=" 0")
declare -- B=""
declare -- IFS=","
declare -A M=([=]="" [0]="0" )
