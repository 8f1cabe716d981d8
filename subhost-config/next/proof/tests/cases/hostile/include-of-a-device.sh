. /dev/stdin
