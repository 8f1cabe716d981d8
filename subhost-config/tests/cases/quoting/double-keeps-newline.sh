A="two
lines"
