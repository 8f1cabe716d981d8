A=`x
