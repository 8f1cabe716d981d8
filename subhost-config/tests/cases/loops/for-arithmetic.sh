for ((i=0; i<3; i++)); do A[i]=x$i; done
for ((;;)); do break; done
for ((j = 5; j > 0; j -= 2)) ; do B+=$j; done
