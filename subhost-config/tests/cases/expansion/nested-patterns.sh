shopt -s extglob
A=aaaaaaaaaab
B=${A##+(+(+(a)))c} C=${A%*(*(a))b}
