declare -a A=([0]="a b" [1]="c'd")
declare -a B=([0]="'a" [1]="b'" [2]="'c'\\''d'")
declare -a C=([0]="'a b'" [1]="'c'\\''d'")
declare -- D="'a b' 'c'\\''d'"
