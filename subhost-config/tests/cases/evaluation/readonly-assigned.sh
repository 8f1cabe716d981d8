readonly A=1
A=2
B=3
