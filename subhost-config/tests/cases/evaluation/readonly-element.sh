readonly -a A=(1)
A[0]=4
