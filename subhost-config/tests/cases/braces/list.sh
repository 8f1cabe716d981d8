A=({a,b} x{1,2}y {a,b}{c,d})
