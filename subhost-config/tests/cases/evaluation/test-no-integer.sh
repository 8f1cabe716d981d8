[ x -eq 1 ] || A=1
