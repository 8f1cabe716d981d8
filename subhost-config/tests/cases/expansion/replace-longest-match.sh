A=aXbXc B=${A/X*/} C=${A/*X/} D=${A//X*X/-}
