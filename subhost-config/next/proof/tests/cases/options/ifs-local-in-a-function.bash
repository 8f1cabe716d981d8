declare -a A=([0]="a" [1]="b" [2]="c")
declare -- B="a,b,c"
declare -a C=([0]="a" [1]="b")
declare -- S="a b"
