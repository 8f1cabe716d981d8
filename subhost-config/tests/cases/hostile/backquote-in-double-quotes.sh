A="a`touch /tmp/canary`b"
