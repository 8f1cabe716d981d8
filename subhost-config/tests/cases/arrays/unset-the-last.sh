A=(a b c)
unset 'A[-1]'
