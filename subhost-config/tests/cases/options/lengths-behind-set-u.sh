set -u
U=xy V=( ab ); declare -A W=( [k]=abc )
A=${#U} B=${#V[0]} C=${#V[@]} D=${#W[k]} E=${#W[*]}
