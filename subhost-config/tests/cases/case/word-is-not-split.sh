X='a b'
case $X in 'a b') A=1;; esac
case "$X"c in a\ bc) B=1;; esac
