set -u
A=1
B=$A
set +u
C=$U
