A=1 # it's "open
B=2
