declare -a DIRS=([0]="/a" [1]="/b" [2]="/c")
declare -- IFS=$' \t\n'
declare -- OLDIFS=$' \t\n'
declare -- SEARCH="/a:/b:/c"
declare -- d="/c"
