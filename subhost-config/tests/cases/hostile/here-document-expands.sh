: <<EOF
$(touch /tmp/canary)
EOF
