declare -- A="x-007"
declare -- B="a\\ b"
declare -a C=([2]="ff")
declare -- D="a,b,c,"
declare -- E="plain"
