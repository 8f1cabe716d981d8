[[ -e /etc/shadow ]] && A=1
[ -r /root ] && B=1
