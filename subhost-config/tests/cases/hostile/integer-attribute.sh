declare -i I
I='a[$(touch /tmp/canary)]'
