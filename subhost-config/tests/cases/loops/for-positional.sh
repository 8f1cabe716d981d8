f() { for x; do A+=("$x"); done; for y do B+=$y; done; for z in "$@"; do C+=("$z"); done; }
f a 'b c'
