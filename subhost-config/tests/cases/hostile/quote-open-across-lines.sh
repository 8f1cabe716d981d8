A="x
$(touch /tmp/canary)
y"
