let A=1+2
let 'B = A * 2' C=B+1
let "D=$A+1" || E=no
let I++ I++
