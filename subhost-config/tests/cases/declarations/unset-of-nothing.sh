unset U V
unset -v W
