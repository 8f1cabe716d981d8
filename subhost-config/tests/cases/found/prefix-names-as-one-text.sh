IFS=:
p= pe= B="${!p@}"
