A=([$(touch /tmp/canary)0]=x)
