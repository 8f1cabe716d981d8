1A=x
A-b=x
A.b=x
