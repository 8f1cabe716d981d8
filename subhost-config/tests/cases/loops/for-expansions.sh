B='x y' L=(1 '2 3')
for x in $B "$B" "${L[@]}" {p,q}; do A+=("$x"); done
