select x in a b; do A=$x; done
