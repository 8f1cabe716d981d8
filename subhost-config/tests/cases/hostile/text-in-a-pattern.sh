P='$(touch /tmp/canary)' A=x
B=${A#$P} C=${A/$P/y}
case x in $P) D=1;; *) D=2;; esac
