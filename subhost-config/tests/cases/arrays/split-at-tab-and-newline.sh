B=$' \t\n' A=(x${B}y $B)
