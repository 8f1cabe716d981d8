set -e
A=1
