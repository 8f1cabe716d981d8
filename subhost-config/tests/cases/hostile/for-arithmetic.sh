X='a[$(touch /tmp/canary)]'
for ((i=0; i<X; i++)); do :; done
