A=(a b) B=x
unset A B
