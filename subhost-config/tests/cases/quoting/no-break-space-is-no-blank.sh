A= x B= y
