time A=1
