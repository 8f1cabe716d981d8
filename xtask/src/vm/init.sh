#!/busybox sh
# The first process of the machine: puts the host's files under a layer in memory, and goes on in there.
B=/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
for module in /modules/*; do $B insmod "$module" || $B poweroff -f; done
$B mount -t virtiofs -o ro host /host || $B poweroff -f
$B mount -t tmpfs -o mode=755 layer /layer
$B mkdir /layer/upper /layer/work
$B mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /root || $B poweroff -f
$B mount -t tmpfs -o mode=755 run /root/run
$B cp -r /busybox /task /root/run/
$B mkdir -p "/root/lib/modules/$($B uname -r)"
$B mount --bind "/host$($B cat /task/modules)" "/root/lib/modules/$($B uname -r)"
for directory in proc sys dev; do $B mount --move "/$directory" "/root/$directory"; done
exec $B switch_root /root /bin/bash /run/task/guest.bash
