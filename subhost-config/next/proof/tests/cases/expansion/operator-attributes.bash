declare -rx A="1"
declare -a B=([0]="1")
declare -- C="rx"
declare -- D="a"
declare -- E="i"
declare -- F="A"
declare -- G=""
declare -- H=""
declare -i I="3"
declare -A M=([x]="1" )
declare -- S="1"
