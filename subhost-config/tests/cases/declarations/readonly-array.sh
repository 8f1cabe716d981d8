readonly A=(a b)
B=("${A[@]}")
