A=x)
