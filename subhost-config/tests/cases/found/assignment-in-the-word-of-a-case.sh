case a"${B=$B}" in
a) K=1;;
esac
