X=out
f() { local X=in Y; A=$X; Y=1; }
f
B=$X C=${Y:-unset}
