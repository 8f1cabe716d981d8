OLD=$IFS
IFS=,
S=a,b,c
A=($S)
IFS=$OLD
B='x y' C=($B)
