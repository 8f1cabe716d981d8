f() { A=1; }
unset -f f
B=2
