true
false
A=1
