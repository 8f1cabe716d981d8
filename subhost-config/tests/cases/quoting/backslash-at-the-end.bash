declare -- A="x\\"
