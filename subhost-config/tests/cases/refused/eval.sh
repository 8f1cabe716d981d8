eval 'A=1'
