if true; then
A=1
