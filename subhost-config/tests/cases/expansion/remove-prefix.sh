A=/usr/lib/a.b.c B=${A#*/} C=${A##*/} D=${A#/usr} E=${A#x} F=${A#} G=${A##*}
