B=' a ' A=(x$B $B$B ""$B $B'')
