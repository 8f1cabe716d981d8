A=abc B=${A:1:-5}
