readonly A=1
unset A
