! [[ a == b ]] && A=1
if ! [ x = y ]; then B=1; fi
if ! true; then C=1; else C=2; fi
