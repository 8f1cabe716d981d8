A=a=b B==c C=+=d D=a+=b
