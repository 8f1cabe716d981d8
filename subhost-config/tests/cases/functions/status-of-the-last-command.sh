f() { false; }
f || A=1
g() { true; }
g && B=1
