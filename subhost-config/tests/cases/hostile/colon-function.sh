: () { touch /tmp/canary; }
:
