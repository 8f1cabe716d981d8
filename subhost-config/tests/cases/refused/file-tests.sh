[ -f /etc/passwd ] && A=1
[[ -d /etc ]] && B=1
