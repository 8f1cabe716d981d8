A=~root/x
