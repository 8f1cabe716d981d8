A=x B=${A@Z}
