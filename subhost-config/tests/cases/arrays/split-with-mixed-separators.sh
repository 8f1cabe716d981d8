B=' a : b :: c : '
IFS=' :'
A=($B)
unset IFS
