declare -i I=2+3
I+=4
I=I*2 J=I
declare -i K=abc
