umask 022
ulimit -c 0
