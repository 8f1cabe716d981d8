declare() { touch /tmp/canary; }
export() { A=1; }
unset() { :; }
A=1
