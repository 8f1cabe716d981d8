B=x
A=$"no catalogue \t $B"
