A=$(cat /etc/hostname)
