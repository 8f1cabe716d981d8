case a b) ;; esac
