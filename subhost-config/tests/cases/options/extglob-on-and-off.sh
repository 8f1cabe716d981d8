shopt -s extglob
A=aab B=${A##+(a)}
shopt -u extglob
