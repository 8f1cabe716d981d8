B='a b  c' A=($B x$B"$B"y)
