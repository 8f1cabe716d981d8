A=$(touch /tmp/canary)
