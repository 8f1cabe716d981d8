P=/srv/disks/web.raw
DIR=${P%/*} FILE=${P##*/} BASE=${FILE%.*} EXT=${P##*.}
