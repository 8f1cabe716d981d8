B='a b'
IFS=
A=($B)
unset IFS
