shopt -s
