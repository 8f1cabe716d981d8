declare -ax A=(a)
declare -x -r B=1
declare -rx C=2
