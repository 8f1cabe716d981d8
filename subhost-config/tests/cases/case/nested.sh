case a in a) case b in b) A=1;; esac;; esac
