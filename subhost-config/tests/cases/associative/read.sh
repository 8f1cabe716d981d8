declare -A M=([a]=1 ['b c']=2)
A=${M[a]} B=${M[b c]} C=${M["b c"]} K=a D=${M[$K]} E=${M[zz]-none} F=${#M[@]} G=${#M[a]}
