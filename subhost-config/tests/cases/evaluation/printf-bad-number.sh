printf -v A %d x
