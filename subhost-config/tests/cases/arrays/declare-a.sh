declare -a A=(a b) B=x C
C=y
