HOME='/h/a b'
A=(~/x)
