A=abc B=${A//} C=${A/#/x} D=${A/%/y} E=${A///x}
