readonly A=z
B=1; readonly B; readonly B; export B
