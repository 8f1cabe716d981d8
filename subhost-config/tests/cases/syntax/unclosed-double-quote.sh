A="x
