declare -ix I=2
