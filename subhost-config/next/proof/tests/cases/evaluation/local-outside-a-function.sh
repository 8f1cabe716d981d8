local A=1
