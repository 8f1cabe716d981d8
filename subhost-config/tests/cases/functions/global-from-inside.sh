f() { A=1; declare -g B=2; declare C=3; declare -gx D=4; }
f
