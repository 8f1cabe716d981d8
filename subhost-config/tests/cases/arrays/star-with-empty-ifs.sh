A=(a b c)
IFS=
B="${A[*]}" C="${A[@]}"
unset IFS
