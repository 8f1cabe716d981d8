A = x
B= x
C =y
