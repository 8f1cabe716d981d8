f() { g() { A=inner; }; }
f
g
