let 0 || A=zero
let 1 && B=one
