A=(x)y
