for I in 1 5 9; do A+=("$((I<3 ? 10 : I<7 ? 20 : 30))"); done
