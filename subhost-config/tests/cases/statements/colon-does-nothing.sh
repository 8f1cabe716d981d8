: a b "$A" ; A=1
: # c
