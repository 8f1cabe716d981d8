printf -v 'a[$(touch /tmp/canary)]' x
