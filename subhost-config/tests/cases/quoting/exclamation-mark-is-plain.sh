A="\!" B=! C="a!b" D=a!b
