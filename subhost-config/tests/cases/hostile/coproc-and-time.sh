coproc touch /tmp/canary
time touch /tmp/canary
