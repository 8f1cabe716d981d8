f() { set -- x "y z"; A=$# B=$2; }
f 1 2 3
