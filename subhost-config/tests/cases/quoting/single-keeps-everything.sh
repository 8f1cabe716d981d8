A='a $b `c` \ "d"'
B='two
lines'
