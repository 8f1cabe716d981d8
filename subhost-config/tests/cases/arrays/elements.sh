A[3]=x
B[0]=a B[1]=b B[1]+=c
