B=('' '') IFS=''
for x in ${B[@]%/}; do D=1; done
