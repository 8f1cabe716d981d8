for x in {a,b}{1..2}; do A+=$x; done
