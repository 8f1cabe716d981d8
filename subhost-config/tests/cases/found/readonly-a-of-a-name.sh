u=1
readonly -a u
