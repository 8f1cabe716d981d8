X=b
case $X in
a) A=1 ;;
b) A=2 ;;
c) A=3 ;;
esac
