shopt -s nullglob
A=(a b)
shopt -u nullglob
