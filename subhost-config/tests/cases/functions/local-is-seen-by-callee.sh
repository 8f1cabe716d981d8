f() { local X=in; g; }
g() { A=$X; X=changed; B=$X; }
f
C=${X:-unset}
