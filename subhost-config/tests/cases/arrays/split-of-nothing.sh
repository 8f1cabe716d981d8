B='' A=($B "$B" x$B "$B"$B)
