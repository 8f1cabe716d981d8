for x in a b c; do A+=("$x"); done
