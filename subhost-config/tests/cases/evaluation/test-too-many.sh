[ a b c d ] || A=1
