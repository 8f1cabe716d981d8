A=$(x
