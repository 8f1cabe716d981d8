A=({a..e} {e..a} {A..C})
