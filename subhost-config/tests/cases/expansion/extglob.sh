shopt -s extglob
A=aaabbb B=${A##+(a)} C=${A%%*(b)} D=${A#?(a)} E=${A/+(b)/x} F=foo.img G=${F%.@(raw|img)} H=${A##!(b)}
