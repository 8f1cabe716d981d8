I=3
if ((I > 2 && I < 5)); then A=1; fi
((I == 3)) && B=1
