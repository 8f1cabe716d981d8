case ab in
a*) A=1 ;;&
x*) B=2 ;;&
*b) C=3 ;;
*) D=4 ;;
esac
