f() { touch /tmp/canary; A=1; }
f
