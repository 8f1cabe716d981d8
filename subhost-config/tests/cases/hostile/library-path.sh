export LD_PRELOAD=/tmp/canary.so LD_LIBRARY_PATH=/tmp PATH=/tmp
