"A"=x
