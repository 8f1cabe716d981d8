DISKS=( vda:1:/disks/web.raw )
BRIDGES=( homenet:06:a7:dd:b4:02:f2 )
