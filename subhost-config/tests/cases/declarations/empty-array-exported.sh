declare -ax A
A+=(x)
