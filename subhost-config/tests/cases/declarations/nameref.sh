declare -n R=A
A=1
R=2
B=$R
