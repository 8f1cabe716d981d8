A=1; export A; A=2
