declare -- A="bash"
declare -- C=""
