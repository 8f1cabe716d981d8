A=1 export B
IFS=: read C
