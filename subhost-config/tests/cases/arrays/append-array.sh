A=(a b) A+=(c [7]=d e [1]=f g)
B=([5]=x) B+=(y)
C=(a b) C+=([-1]=z)
D=(a b) D+=([0]+=c d)
