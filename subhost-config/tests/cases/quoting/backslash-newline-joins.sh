A=a\
b
B\
C=x
