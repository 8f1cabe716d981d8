A=x R=A B=${!R} C="${!R}y" D=${!R:-d}
