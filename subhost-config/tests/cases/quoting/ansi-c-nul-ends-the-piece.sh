A=$'a\0b'c
