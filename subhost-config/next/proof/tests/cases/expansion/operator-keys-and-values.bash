declare -a A=([2]="x y" [5]="z")
declare -- B="2 \"x y\" 5 \"z\""
declare -a C=([0]="2" [1]="x y" [2]="5" [3]="z")
declare -- D="2 \"x y\" 5 \"z\""
