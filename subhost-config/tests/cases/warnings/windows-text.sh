A='x
y' B=(a # c
 b\
c)
C="q\
r"
