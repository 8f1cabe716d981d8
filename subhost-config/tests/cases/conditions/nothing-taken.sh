if false; then A=1; fi
B=$?
