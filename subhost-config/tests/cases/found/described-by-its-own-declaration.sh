A=0
declare A=(${A[@]@K})
