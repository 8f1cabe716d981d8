shopt -s extglob
case aab in
+(a)b) A=1;;
esac
case x in !(x)) B=1;; ?(x)) B=2;; esac
