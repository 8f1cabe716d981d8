A=((a b) c)
