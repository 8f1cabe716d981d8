for ((n = ${#U}; n < 4; ++n)); do A+=("$((n * n))"); done
