X='a[$(touch /tmp/canary)]'
((X))
