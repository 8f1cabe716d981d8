A=~root B=(~daemon/x)
