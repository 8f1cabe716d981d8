cat <<EOF
it's $(
EOF
A=1
