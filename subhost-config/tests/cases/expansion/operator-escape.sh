A='a\tb\x41\u20ac' B=${A@E}
