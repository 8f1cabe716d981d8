declare -n R
R='a[$(touch /tmp/canary)]'
R=1
