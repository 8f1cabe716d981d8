A=$'a\xffb' B=${#A}
