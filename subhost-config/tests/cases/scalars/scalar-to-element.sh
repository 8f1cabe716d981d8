A=s A[2]=x
B=s B[-1]=x
