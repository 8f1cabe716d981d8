REF=
unset -n REF
