A=1 # $(touch /tmp/canary)
# `touch /tmp/canary`
