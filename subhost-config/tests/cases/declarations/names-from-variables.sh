N=A
declare "$N=1"
export "B=2 3"
V=x; declare "C_$V=4"
