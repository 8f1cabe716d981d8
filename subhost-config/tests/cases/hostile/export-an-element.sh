export 'a[$(touch /tmp/canary)]=1'
