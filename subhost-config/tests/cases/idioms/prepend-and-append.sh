LIST=(b c)
LIST=(a "${LIST[@]}" d)
