A=foo B=${A^} C=${A^^} D=${A^^[f]} E=${A^x} U=éß F=${U^^}
