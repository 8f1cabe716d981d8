A=FOO B=${A,} C=${A,,} D=${A,,[F]} U=ÉÀ E=${U,,}
