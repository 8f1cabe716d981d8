A=banana B=${A/a} C=${A//a} D=${A//an/} E=${A/#ba}
