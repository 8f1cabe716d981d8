A='a[b' B=${A#a[} C=${A/[/x} D=${A%[b}
