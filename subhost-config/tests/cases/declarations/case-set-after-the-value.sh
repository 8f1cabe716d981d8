A=s; declare -au A
B=s; declare -u B
C=( Ab cD ); declare -l C
