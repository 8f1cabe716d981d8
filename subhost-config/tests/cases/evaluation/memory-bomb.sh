A=x
for ((i=0; i<60; i++)); do A=$A$A; done
