RAILS_ENV=production
PORT=8080
LOG=/var/log/app-$PORT.log
export RAILS_ENV PORT
