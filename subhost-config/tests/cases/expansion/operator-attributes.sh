declare -rx A=1
declare -a B=(1)
declare -i I=3
declare -A M=([x]=1)
C=${A@a} D=${B@a} E=${I@a} F=${M@a} G=${U@a} S=1 H=${S@a}
