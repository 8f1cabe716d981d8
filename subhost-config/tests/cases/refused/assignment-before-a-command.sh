A=1 b c
