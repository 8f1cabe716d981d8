A=(#c
a)
