false
A=1
