declare A=x
typeset B=y
