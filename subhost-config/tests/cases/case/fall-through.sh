case a in
a) A=1 ;&
b) B=2 ;;
c) C=3 ;;
esac
