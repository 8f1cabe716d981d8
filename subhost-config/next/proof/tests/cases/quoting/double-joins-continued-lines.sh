A="a\
b"
