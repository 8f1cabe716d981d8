declare -a A=([0]="a\\" [1]="b" [2]="a\\ b")
declare -- B="a\\ b"
