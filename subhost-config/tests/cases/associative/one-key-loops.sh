declare -A M=([only]=x)
for k in "${!M[@]}"; do A+=("$k=${M[$k]}"); done
