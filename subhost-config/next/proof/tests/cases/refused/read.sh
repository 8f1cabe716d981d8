read A
