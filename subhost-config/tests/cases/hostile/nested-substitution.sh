A="${B:-"${C:-$(touch /tmp/canary)}"}"
