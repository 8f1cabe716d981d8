S='a:b c'
IFS=:
A=($S)
unset IFS
B=($S)
