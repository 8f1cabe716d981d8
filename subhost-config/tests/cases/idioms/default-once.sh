: "${LOG_DIR:=/var/log/app}" "${RUN_DIR:=/run/app}"
LOG_FILE=$LOG_DIR/app.log
