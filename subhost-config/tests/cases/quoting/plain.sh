A=x
