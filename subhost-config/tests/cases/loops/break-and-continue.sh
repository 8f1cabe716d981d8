for x in a b c d; do
    [[ $x == b ]] && continue
    [[ $x == d ]] && break
    A+=$x
done
