: ${A:=$(touch /tmp/canary)}
