A=x E= B=${A:-d} C=${U:-d} D=${E:-d} F=${E-d} G=${U-d}
