A=$B C="${B}x" D=$B$B
