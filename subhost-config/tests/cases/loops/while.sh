i=0
while ((i < 3)); do A+=$i; ((i++)); done
while [ $i -gt 1 ]
do
    i=$((i-1))
done
