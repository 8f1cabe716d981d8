A=$B
