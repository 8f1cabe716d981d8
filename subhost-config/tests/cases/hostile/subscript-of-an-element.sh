X='a[$(touch /tmp/canary)]' A=(1)
B=${A[X]}
