A=(a b c)
IFS=:
B="${A[*]}" C=${A[*]} D="${A[@]}"
unset IFS
