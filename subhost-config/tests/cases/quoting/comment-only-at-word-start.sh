A=x#y # z
B=1;# c
C=2 #
