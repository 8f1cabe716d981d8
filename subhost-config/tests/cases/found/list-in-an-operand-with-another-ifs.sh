declare -A M=(=)
M=0 B= IFS=,
A=(${B[*]+${M[@]-}})
