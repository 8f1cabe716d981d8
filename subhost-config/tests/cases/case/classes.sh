case 7 in [[:alpha:]]) A=1;; [[:digit:]]) A=2;; esac
