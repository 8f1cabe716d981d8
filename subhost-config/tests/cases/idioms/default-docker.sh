DOCKER_OPTS="--dns 8.8.8.8 --dns 8.8.4.4"
#export http_proxy="http://127.0.0.1:3128/"
export TMPDIR="/mnt/bigdrive/docker-tmp"
