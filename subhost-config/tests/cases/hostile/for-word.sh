for x in $(touch /tmp/canary); do A=1; done
