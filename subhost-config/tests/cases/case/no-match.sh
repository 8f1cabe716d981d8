case x in a) A=1;; esac
B=$?
