case\
e in x) A=1;; esac
