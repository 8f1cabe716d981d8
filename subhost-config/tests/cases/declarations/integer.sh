declare -i I=3*4
I+=1
export J=I
