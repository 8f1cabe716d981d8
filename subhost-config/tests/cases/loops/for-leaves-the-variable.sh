for x in a b; do :; done
A=$x
