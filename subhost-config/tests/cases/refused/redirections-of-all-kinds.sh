> /tmp/x
< /etc/passwd
: >> /tmp/x
true 2>&1
: &> /tmp/x
