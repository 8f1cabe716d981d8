declare -a A=([0]="a" [1]="b" [2]="c")
declare -- B="x y"
declare -a C=([0]="x" [1]="y")
declare -- IFS=$' \t\n'
declare -- OLD=$' \t\n'
declare -- S="a,b,c"
