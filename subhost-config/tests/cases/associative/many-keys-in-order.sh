declare -A M=([one]=1 [two]=2 [three]=3 [four]=4 [five]=5 [six]=6 [seven]=7 [eight]=8)
A=("${!M[@]}") B=("${M[@]}")
