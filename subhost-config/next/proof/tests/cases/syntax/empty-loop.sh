while false; do done
