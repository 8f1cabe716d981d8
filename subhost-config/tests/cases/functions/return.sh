f() { A=1; return; B=2; }
f
g() { return 3; }
g; C=$?
h() { [[ $1 == x ]] || return 1; D=$1; }
h y || E=no
h x && F=yes
