R='a[$(touch /tmp/canary)]'
A=${!R}
