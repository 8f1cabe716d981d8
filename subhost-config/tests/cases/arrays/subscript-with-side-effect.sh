I=0
A[I++]=a A[I++]=b A[++I]=c
