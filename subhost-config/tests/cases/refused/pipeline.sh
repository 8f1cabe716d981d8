A=1 | cat
