# The first process of the machine, with the host's files as its root: runs the command, and powers off.
# What was said goes to the console, which is shown when no status came.
give_up() { exec /run/busybox poweroff -f; }

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /dev/pts /dev/shm /run/lock /scratch
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
ln -s /proc/self/fd /dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${n%:*}" "/dev/${n#*:}"; done
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
for controller in $(</sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
mount -t securityfs securityfs /sys/kernel/security
modprobe -a loop overlay veth bridge dummy tun || give_up
mount /dev/vda /scratch || give_up
chmod 1777 /scratch
hostname vm
ip link set lo up

mapfile -d '' -t environment </run/task/environment
mapfile -d '' -t command </run/task/command
cd "$(</run/task/directory)" || give_up
# A port can be opened only once, and a command may well open /dev/stdout: so it gets pipes.
mkfifo /run/task/out /run/task/err
cat /run/task/out >/dev/vport0p1 & copies=($!)
cat /run/task/err >/dev/vport0p2 & copies+=($!)
setsid -w env -i "${environment[@]}" TMPDIR=/scratch "${command[@]}" </dev/null >/run/task/out 2>/run/task/err
status=$?
# What the command left running may hold the pipes for ever.
for _ in {1..40}; do
    kill -0 "${copies[@]}" 2>/dev/null || break
    sleep 0.05
done
echo "$status" >/dev/vport0p3
exec /run/busybox poweroff -f
