X='a[$(touch /tmp/canary)]'
A[X]=1
