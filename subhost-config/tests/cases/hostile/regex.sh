R='a[$(touch /tmp/canary)]'
[[ x =~ $R ]] || A=1
