A=1 && B=2 || C=3
false && D=4 || E=5
false || F=6 && G=7
