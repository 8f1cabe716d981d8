export 'A-b=1'
