trap 'A=1' EXIT
