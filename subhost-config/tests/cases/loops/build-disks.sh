for n in a b c; do
    DISKS+=("vd$n:1:/disks/$n.raw")
done
