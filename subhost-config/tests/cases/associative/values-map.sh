declare -A M=([k]=a.raw)
A=("${M[@]%.raw}") B=("${M[@]^^}")
