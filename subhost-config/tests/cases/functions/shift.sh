f() { while (($#)); do A+=("$1"); shift; done; }
f a 'b c' d
