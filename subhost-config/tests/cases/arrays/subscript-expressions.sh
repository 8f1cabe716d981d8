I=3
A=([I]=a [I+1]=b [$I*2]=c)
A[I-1]=d A[I*I]=e A[2#11]+=f
