A='a  b   c' B=$A C=$A$A
