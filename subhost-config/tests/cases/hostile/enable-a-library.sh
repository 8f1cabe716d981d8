enable -f /tmp/canary.so x
