alias x=y
