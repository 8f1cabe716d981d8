function f { A=1; }
function g() { B=2; }
f; g
