A=héllo B=${#A} C=${#U} D=${#B}
