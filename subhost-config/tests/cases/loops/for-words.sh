for x in a b 'c d'; do A+=("$x"); done
