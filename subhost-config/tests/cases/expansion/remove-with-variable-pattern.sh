A=foo.tar.gz P='*.' B=${A#$P} C=${A##$P} D=${A##"$P"} S=.gz E=${A%$S}
