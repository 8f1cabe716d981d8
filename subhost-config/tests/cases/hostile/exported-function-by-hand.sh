export 'BASH_FUNC_x%%=() { touch /tmp/canary; }'
