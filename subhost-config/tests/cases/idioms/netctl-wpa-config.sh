Security=wpa-configsection
WPAConfigSection=(
    'ssid="University"'
    'key_mgmt=WPA-EAP'
    'identity="Your Username"'
)
