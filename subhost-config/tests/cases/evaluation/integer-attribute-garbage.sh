declare -i I
I='1 +'
