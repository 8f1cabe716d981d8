P='$(touch /tmp/canary)'
[[ x == $P ]] || A=1
[ "$P" = x ] || B=1
