A=${B:=c}$B
