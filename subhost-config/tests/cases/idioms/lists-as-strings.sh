LIST="a b
c"
for item in $LIST; do
    SEEN="${SEEN:+$SEEN,}$item"
done
