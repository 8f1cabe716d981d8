[ -v 'a[$(touch /tmp/canary)]' ] || A=1
