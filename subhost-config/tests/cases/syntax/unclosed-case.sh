case a in
a) A=1;;
