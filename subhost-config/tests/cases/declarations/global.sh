declare -g A=1
