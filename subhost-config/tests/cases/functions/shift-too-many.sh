f() { shift 5; A=1; }
f a
