A=(a;b)
