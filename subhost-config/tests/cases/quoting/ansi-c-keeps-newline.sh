A=$'two
lines'
