A=(a b c)
