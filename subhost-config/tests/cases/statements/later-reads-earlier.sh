A=1 B=$A C=$B$A
