A[1=x
