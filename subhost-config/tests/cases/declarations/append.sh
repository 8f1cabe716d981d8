declare A=x
declare A+=y
export A+=z
declare -i I=1
declare I+=1
