Description="Example Bridge connection"
Interface=br0
Connection=bridge
BindsToInterfaces=(eth0 eth1 tap0)
IP=dhcp
SkipForwardingDelay=yes
