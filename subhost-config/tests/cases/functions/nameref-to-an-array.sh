add() { local -n list=$1; shift; list+=("$@"); }
A=(a)
add A b 'c d'
