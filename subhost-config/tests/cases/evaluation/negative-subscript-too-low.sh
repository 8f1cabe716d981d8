A=(a b)
A[-3]=x
