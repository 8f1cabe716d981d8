case x in a) A=1;; *) A=2; esac
