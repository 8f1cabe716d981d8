HOOKS=(base udev block filesystems)
HOOKS+=(fsck)
MODULES+=(nvme)
