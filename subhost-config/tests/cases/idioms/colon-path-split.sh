SEARCH=/a:/b:/c
OLDIFS=$IFS
IFS=:
for d in $SEARCH; do DIRS+=("$d"); done
IFS=$OLDIFS
