enable -n true
hash -r
