[ a = a
