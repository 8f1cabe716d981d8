is_on() { [[ $1 == yes || $1 == 1 ]]; }
if is_on yes; then A=1; fi
is_on no || B=1
