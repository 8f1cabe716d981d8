A=$(</etc/shadow)
B=$(cat /etc/shadow)
