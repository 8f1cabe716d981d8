A=foo.raw R=A B=${!R%.raw} C=${!R^^} D=${!R/o/0} E=${!R:1:2}
