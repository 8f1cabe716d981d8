A=banana B=${A/a/o} C=${A//a/o} D=${A/#b/x} E=${A/%a/x} F=${A/#a/x} G=${A/x/y}
