export A=x B=y
C=1
export C
