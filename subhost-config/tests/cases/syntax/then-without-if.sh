then A=1
