export A[0]=x
