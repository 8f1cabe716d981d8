case $(touch /tmp/canary) in *) A=1;; esac
