A=x;;B=y
