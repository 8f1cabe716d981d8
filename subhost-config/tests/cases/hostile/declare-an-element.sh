declare 'a[$(touch /tmp/canary)]=1'
