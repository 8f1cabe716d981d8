X='a[$(touch /tmp/canary)]'
[ "$X" -eq 0 ] && A=1
