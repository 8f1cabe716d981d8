A='a\
b'
