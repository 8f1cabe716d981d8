for x in a b; do
A=1
