A=x
A+=(y)
