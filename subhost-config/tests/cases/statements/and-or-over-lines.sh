true &&
A=1
false ||

B=2
