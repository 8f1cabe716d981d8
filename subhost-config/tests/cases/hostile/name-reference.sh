declare -n R='a[$(touch /tmp/canary)]'
A=$R
