set -u
U=x
A=${#U[0]}
