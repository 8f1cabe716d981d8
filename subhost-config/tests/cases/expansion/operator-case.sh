A=fOO B=${A@U} C=${A@u} D=${A@L}
