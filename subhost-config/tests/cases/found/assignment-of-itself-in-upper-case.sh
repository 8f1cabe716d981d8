declare -u C+=($((0))${C='b'})
