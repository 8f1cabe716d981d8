# Cron configuration options
EXTRA_OPTS="-L 2"
READ_ENV="yes"
