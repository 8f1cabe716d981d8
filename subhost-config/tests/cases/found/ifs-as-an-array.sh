IFS=(x)
