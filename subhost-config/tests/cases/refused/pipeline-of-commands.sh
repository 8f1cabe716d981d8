echo a | tr a b
B=2
