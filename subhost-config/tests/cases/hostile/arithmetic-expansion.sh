X='a[$(touch /tmp/canary)0]' A=$((X+1))
