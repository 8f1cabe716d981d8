export A=(a b)
readonly -a B=(c)
