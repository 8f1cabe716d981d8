A='a b' B=(1 '2 3') C=${A@A} D=${B[@]@A}
declare -ix I=5
E=${I@A}
