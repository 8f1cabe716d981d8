BASE=/disks/web
for n in 1 2 3; do
    DISKS+=( "vd$(( n )):$n:$BASE-$n.raw" )
done
