set -u
A=${#U[@]}
