read A <<< x
