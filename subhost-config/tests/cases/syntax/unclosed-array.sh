A=(x
B=y
