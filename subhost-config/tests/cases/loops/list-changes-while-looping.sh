A=(1 2 3)
for x in "${A[@]}"; do A+=("$x$x"); done
