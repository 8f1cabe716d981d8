readonly A=1
declare A=5
