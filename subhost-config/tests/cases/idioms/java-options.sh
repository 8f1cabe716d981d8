JAVA_OPTS="-Xmx512m"
JAVA_OPTS="${JAVA_OPTS} -Djava.awt.headless=true"
JAVA_OPTS+=" -server"
if [[ -z ${JAVA_HOME:-} ]]; then JAVA_HOME=/usr/lib/jvm/default; fi
