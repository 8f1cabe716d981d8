. /etc/default/x
source ./other
