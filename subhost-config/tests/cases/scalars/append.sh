A=a
A+=b A+=c
B+=new
