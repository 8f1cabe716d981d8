unset 'a[$(touch /tmp/canary)]'
