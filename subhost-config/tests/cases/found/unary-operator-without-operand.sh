if [[ -n ]]; then A=1; fi
