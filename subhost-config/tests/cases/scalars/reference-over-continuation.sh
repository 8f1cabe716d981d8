A=1 B=$\
A C="$\
A"
