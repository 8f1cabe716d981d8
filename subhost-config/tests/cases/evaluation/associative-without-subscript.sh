declare -A M
M=(a b [c]=d)
