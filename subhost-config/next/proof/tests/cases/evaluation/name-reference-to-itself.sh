declare -n R=R
