A=(a b c)
unset 'A[2]'
A+=(d)
unset 'A[0]'
A+=(e)
