((0)) || A=zero
((5)) && B=five
((1-1)) && C=no || D=yes
