declare -A M
K='$(touch /tmp/canary)'
M[$K]=1
A=${M[$K]}
