declare -n R=A
A=${!R:1}
