X=b
if [ $X = a ]; then A=1
elif [ $X = b ]; then A=2
elif [ $X = c ]; then A=3
else A=4
fi
