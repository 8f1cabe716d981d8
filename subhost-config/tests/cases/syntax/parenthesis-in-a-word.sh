A=a(b)
