A=(a b c) A[-1]=z A[-3]=y
