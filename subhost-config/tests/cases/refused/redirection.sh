A=1 > /tmp/x
