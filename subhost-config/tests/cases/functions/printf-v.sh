printf -v A '%s-%03d' x 7
printf -v B '%q' 'a b'
printf -v 'C[2]' '%x' 255
printf -v D '%s,' a b c
printf -v E 'plain'
