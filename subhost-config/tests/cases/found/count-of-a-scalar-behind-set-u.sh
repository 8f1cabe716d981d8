set -u
U=
A=${#U[@]}
