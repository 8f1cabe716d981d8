A=a#b
B=#c
C="#d" # e
