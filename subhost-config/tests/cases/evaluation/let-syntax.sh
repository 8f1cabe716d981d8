let 'A = ' || B=1
