f() { local IFS=,; A=($1); B="${A[*]}"; }
f a,b,c
S='a b' C=($S)
