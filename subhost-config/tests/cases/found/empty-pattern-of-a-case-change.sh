A=xx I= B=${A^$I} C=${A^^"$I"} D=${A^^$I}
