IFS=:
A=(a:b)
unset IFS
