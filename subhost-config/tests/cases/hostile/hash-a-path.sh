hash -p /tmp/canary true
true
