//! System calls by name.

macro_rules! names {
    ($table:ident: $($name:ident $number:ident),* $(,)?) => {
        const $table: &[(&str, i64)] = &[$((stringify!($name), libc::$number)),*];
    };
}

#[rustfmt::skip]
names! { COMMON:
    accept SYS_accept, accept4 SYS_accept4, bind SYS_bind, bpf SYS_bpf, brk SYS_brk, capget SYS_capget,
    capset SYS_capset, chdir SYS_chdir, chroot SYS_chroot, clock_gettime SYS_clock_gettime,
    clock_nanosleep SYS_clock_nanosleep, clone SYS_clone, clone3 SYS_clone3, close SYS_close,
    close_range SYS_close_range, connect SYS_connect, copy_file_range SYS_copy_file_range, dup SYS_dup,
    dup3 SYS_dup3, epoll_create1 SYS_epoll_create1, epoll_ctl SYS_epoll_ctl, epoll_pwait SYS_epoll_pwait,
    eventfd2 SYS_eventfd2, execve SYS_execve, execveat SYS_execveat, exit SYS_exit, exit_group SYS_exit_group,
    faccessat SYS_faccessat, faccessat2 SYS_faccessat2, fadvise64 SYS_fadvise64, fallocate SYS_fallocate,
    fchdir SYS_fchdir, fchmod SYS_fchmod, fchmodat SYS_fchmodat, fchown SYS_fchown, fchownat SYS_fchownat,
    fcntl SYS_fcntl, fgetxattr SYS_fgetxattr, flock SYS_flock, fsconfig SYS_fsconfig, fsetxattr SYS_fsetxattr,
    fsmount SYS_fsmount, fsopen SYS_fsopen, fspick SYS_fspick, fstat SYS_fstat, fstatfs SYS_fstatfs,
    fsync SYS_fsync, ftruncate SYS_ftruncate, futex SYS_futex, getcwd SYS_getcwd, getdents64 SYS_getdents64,
    getegid SYS_getegid, geteuid SYS_geteuid, getgid SYS_getgid, getpeername SYS_getpeername, getpgid SYS_getpgid,
    getpid SYS_getpid, getppid SYS_getppid, getrandom SYS_getrandom, getrlimit SYS_getrlimit, getsid SYS_getsid,
    getsockname SYS_getsockname, getsockopt SYS_getsockopt, gettid SYS_gettid, getuid SYS_getuid,
    getxattr SYS_getxattr, inotify_add_watch SYS_inotify_add_watch, inotify_init1 SYS_inotify_init1,
    ioctl SYS_ioctl, kcmp SYS_kcmp, keyctl SYS_keyctl, kill SYS_kill, lgetxattr SYS_lgetxattr, linkat SYS_linkat,
    listen SYS_listen, lseek SYS_lseek, madvise SYS_madvise, mkdirat SYS_mkdirat, mknodat SYS_mknodat,
    mmap SYS_mmap, mount SYS_mount, mount_setattr SYS_mount_setattr, move_mount SYS_move_mount,
    mprotect SYS_mprotect, mremap SYS_mremap, munmap SYS_munmap, nanosleep SYS_nanosleep,
    newfstatat SYS_newfstatat, open_by_handle_at SYS_open_by_handle_at, open_tree SYS_open_tree, openat SYS_openat,
    openat2 SYS_openat2, personality SYS_personality, pidfd_getfd SYS_pidfd_getfd, pidfd_open SYS_pidfd_open,
    pidfd_send_signal SYS_pidfd_send_signal, pipe2 SYS_pipe2, pivot_root SYS_pivot_root, ppoll SYS_ppoll,
    prctl SYS_prctl, pread64 SYS_pread64, prlimit64 SYS_prlimit64, process_vm_readv SYS_process_vm_readv,
    pselect6 SYS_pselect6, pwrite64 SYS_pwrite64, pwritev SYS_pwritev, read SYS_read, readlinkat SYS_readlinkat,
    readv SYS_readv, recvfrom SYS_recvfrom, recvmsg SYS_recvmsg, renameat2 SYS_renameat2,
    restart_syscall SYS_restart_syscall, rseq SYS_rseq, rt_sigaction SYS_rt_sigaction,
    rt_sigprocmask SYS_rt_sigprocmask, rt_sigreturn SYS_rt_sigreturn, rt_sigsuspend SYS_rt_sigsuspend,
    rt_sigtimedwait SYS_rt_sigtimedwait, sched_getaffinity SYS_sched_getaffinity, sched_yield SYS_sched_yield,
    seccomp SYS_seccomp, sendfile SYS_sendfile, sendmmsg SYS_sendmmsg, sendmsg SYS_sendmsg, sendto SYS_sendto,
    set_robust_list SYS_set_robust_list, set_tid_address SYS_set_tid_address, setgid SYS_setgid,
    setgroups SYS_setgroups, sethostname SYS_sethostname, setns SYS_setns, setpriority SYS_setpriority,
    setresgid SYS_setresgid, setresuid SYS_setresuid, setrlimit SYS_setrlimit, setsid SYS_setsid,
    setsockopt SYS_setsockopt, setuid SYS_setuid, shutdown SYS_shutdown, sigaltstack SYS_sigaltstack,
    signalfd4 SYS_signalfd4, socket SYS_socket, socketpair SYS_socketpair, splice SYS_splice, statfs SYS_statfs,
    statx SYS_statx, symlinkat SYS_symlinkat, sync SYS_sync, syncfs SYS_syncfs, tgkill SYS_tgkill,
    timerfd_create SYS_timerfd_create, timerfd_settime SYS_timerfd_settime, tkill SYS_tkill, umask SYS_umask,
    umount2 SYS_umount2, uname SYS_uname, unlinkat SYS_unlinkat, unshare SYS_unshare, utimensat SYS_utimensat,
    wait4 SYS_wait4, waitid SYS_waitid, write SYS_write, writev SYS_writev,
}

// Those that newer machines do without.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
names! { OLD:
    access SYS_access, alarm SYS_alarm, arch_prctl SYS_arch_prctl, chmod SYS_chmod, chown SYS_chown, dup2 SYS_dup2,
    epoll_wait SYS_epoll_wait, fork SYS_fork, getdents SYS_getdents, getpgrp SYS_getpgrp, link SYS_link,
    lstat SYS_lstat, mkdir SYS_mkdir, mknod SYS_mknod, open SYS_open, pause SYS_pause, pipe SYS_pipe,
    poll SYS_poll, readlink SYS_readlink, rename SYS_rename, rmdir SYS_rmdir, select SYS_select, stat SYS_stat,
    symlink SYS_symlink, time SYS_time, unlink SYS_unlink, vfork SYS_vfork,
}

#[cfg(not(target_arch = "x86_64"))]
const OLD: &[(&str, i64)] = &[];

/// The name of a system call, as far as programs like ours make it.
pub fn name(number: i64) -> String {
    let found = COMMON.iter().chain(OLD).find(|(_, found)| *found == number);
    found.map_or_else(|| format!("call {number}"), |(name, _)| (*name).to_owned())
}
