declare -- A=""
declare -n R="A"
