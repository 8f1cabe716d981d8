A='aB1 _-é' B=${A//[[:upper:]]/U} C=${A//[[:digit:]]/D} D=${A//[[:space:]]/S} E=${A//[[:punct:]]/P} F=${A//[[:alnum:]]/N}
