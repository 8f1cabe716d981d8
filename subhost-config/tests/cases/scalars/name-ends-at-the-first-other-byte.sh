A=x B="$A[1]" C=$A[1] D=$A-b E=$A.c F=${A}_g G=$A_g H=$Aé
