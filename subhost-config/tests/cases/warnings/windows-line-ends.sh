A=1
B=(a
b)
