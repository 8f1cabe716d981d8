f() { local -a L=(a b); local -A M=([k]=v); local -i I=2+2; A=("${L[@]}" "${M[k]}" $I); }
f
