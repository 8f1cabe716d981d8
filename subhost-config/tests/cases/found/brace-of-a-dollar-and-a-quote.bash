declare -a A=([0]="\$x" [1]="bx")
