B=a:b::c:
IFS=:
A=($B) C=(x$B) D=("$B") E=(${B}y)
unset IFS
