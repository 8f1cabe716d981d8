export -n C
