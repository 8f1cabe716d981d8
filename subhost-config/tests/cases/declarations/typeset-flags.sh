typeset -r A=1
typeset -i B=2+2
typeset -a C=(x)
