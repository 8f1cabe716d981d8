for x in; do A=1; done
for y in $U; do A=2; done
