A='x
B=y
