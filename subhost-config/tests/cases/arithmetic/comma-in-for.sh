for ((I=0, J=10; I<J; I+=3, J-=2)); do A+=("$I:$J"); done
