shopt -s extglob
A=abab-cd B=${A##*(+(a)b)} C=${A/@(ab|cd)+(@(a|b))/x}
