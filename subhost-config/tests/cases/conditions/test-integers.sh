N=5
[ $N -eq 5 ] && A=1
[ $N -ne 5 ] || B=1
[ $N -gt 4 -a $N -lt 6 ] && C=1
[ $N -le 5 -o $N -ge 9 ] && D=1
[ ' 5 ' -eq 5 ] && E=1
[ -1 -lt 0 ] && F=1
