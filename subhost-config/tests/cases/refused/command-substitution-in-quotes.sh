A="a $(b "c)" ) d"
