# web server
DISKS=(
  vda:1:/disks/disk1.raw   # root
  "vdb:1:/disks/disk 2.raw"
)
BRIDGES=( homenet:06:a7:dd:b4:02:f2 ":06:a7:dd:b4:02:f3" br0: )
DISKS+=(vdc::/disks/c.raw)
HOSTNAME=web1
