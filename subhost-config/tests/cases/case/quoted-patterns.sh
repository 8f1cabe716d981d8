X='*'
case $X in "*") A=1;; *) A=2;; esac
case abc in "*") B=1;; \*) B=2;; *) B=3;; esac
