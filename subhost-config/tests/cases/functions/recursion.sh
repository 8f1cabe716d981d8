f() { local n=$1; ((n > 0)) || return 0; A+=$n; f $((n-1)); }
f 3
