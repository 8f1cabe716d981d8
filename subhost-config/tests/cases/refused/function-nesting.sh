FUNCNEST=1
f() { A=1; }
f
