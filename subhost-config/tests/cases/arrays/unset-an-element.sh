A=(a b c)
unset 'A[1]'
unset A[2]
