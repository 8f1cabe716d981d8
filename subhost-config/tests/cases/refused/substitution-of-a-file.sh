A=$(</etc/hostname)
