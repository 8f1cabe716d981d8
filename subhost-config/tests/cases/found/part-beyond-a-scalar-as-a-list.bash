declare -- B=""
declare -a D=()
