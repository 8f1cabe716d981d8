A=${U:-'$(touch /tmp/canary)'} B=$A
