\
# a comment
A=1
