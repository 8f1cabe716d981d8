mapfile -t A
