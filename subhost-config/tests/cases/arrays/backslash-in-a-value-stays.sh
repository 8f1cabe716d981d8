B='a\ b' A=($B "$B")
