A=(a b); declare A=z; export A+=y
B=s; declare B+=(x)
