A=x && B=y
