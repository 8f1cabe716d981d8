disks=(a) Disks=(b) DISKS=(c)
