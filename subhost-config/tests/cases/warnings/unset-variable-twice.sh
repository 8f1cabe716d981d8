A=$B$B
C=${D}
