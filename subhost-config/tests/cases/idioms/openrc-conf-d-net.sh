# /etc/conf.d/net
config_eth0="192.168.0.2 netmask 255.255.255.0 brd 192.168.0.255
fe80::1/64"
routes_eth0="default via 192.168.0.1"
dns_servers_eth0="192.168.0.1 8.8.8.8"
modules="iproute2"
bridge_br0="eth0 eth1"
rc_net_br0_need="net.eth0 net.eth1"
