B='*.raw'
A=($B)
