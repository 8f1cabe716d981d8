ENABLED=Yes
case ${ENABLED,,} in
    y|yes|true|on|1) ENABLED=1 ;;
    *) ENABLED=0 ;;
esac
