A=( $(a) x `b` )
