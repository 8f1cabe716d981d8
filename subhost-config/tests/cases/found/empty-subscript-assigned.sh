A[]=x
