A=(a b c)
for i in "${!A[@]}"; do B+=("$i=${A[i]}"); done
