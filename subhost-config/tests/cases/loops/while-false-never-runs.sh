while false; do A=1; done
until true; do B=1; done
C=$?
