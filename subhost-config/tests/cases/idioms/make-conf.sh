COMMON_FLAGS="-O2 -pipe -march=native"
CFLAGS="${COMMON_FLAGS}"
CXXFLAGS="${COMMON_FLAGS}"
MAKEOPTS="-j8"
USE="-systemd elogind
     X wayland -kde"
ACCEPT_LICENSE="*"
GENTOO_MIRRORS="https://mirror.example/gentoo/ \
    rsync://mirror.example/gentoo"
LC_MESSAGES=C.utf8
VIDEO_CARDS="amdgpu radeonsi"
PORTAGE_ELOG_CLASSES="warn error log"
