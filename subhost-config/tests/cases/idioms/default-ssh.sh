# Options to pass to sshd
SSHD_OPTS=
