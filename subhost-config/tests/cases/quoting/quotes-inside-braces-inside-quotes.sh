A="x ${B:-"y z"} w"
