true; A=$?
false; B=$?
[[ a == b ]]; C=$?
