f() { local -n ref=$1; ref=changed; }
X=old
f X
