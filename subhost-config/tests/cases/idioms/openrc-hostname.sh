# Set to the hostname of this machine
hostname="localhost"
