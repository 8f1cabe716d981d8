declare -la A=(ABC DeF)
A+=(X)
