declare -A M=([one]=1 [two]=2 [three]=3)
M[one]=9
unset 'M[two]'
M[two]=8
