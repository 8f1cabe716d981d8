for x in a b; do for y in 1 2; do A+=("$x$y"); done; done
