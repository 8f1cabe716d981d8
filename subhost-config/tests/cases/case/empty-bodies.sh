case a in a) ;; b) A=1;; esac
case b in a);; *) esac
