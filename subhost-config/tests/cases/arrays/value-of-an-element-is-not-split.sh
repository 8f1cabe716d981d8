B='x  y'
A=([1]=$B z)
