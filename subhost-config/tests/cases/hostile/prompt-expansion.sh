P='$(touch /tmp/canary)'
A=${P@P}
