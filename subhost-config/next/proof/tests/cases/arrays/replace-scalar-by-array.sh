A=s A=(x)
