. /proc/self/fd/0
source <(echo A=1)
