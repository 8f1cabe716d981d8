A=x E= B=${A:+y} C=${U:+y} D=${E:+y} F=${E+y} G=${U+y}
