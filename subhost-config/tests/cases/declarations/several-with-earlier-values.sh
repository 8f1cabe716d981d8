A=1
export B=$A C=$A$A
