PROMPT_COMMAND='touch /tmp/canary'
