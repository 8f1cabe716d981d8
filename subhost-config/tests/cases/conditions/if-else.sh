if true; then A=1; else A=2; fi
if false; then B=1; else B=2; fi
