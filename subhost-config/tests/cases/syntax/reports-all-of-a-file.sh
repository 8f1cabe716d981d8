A=a(b)
B=(c;d)
C=1
D=e)
