if true; A=1; fi
