let 'a[$(touch /tmp/canary)]'
