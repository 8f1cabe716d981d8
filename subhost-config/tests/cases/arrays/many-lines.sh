DISKS=(
    vda:1:/disks/root.raw
    vdb:1:/disks/data.raw
    vdc::/disks/whole.raw
    vdd:5:/disks/logical.raw
)
