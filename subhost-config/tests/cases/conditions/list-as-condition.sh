if false; true; then A=1; fi
if A2=x && [[ $A2 == x ]]; then B=1; fi
