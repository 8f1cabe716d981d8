PS4='$(touch /tmp/canary)'
set -x
A=1
