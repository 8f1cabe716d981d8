P='a*'
case abc in $P) A=1;; esac
case abc in "$P") B=1;; *) B=2;; esac
