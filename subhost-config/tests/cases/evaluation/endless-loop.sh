while :; do A=1; done
