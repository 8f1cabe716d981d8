A=`e \` f`
