for f in /etc/*.conf; do A+=("$f"); done
