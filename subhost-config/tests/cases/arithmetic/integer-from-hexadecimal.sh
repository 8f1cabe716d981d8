declare -i I=0x10 J=010 K=2#11
