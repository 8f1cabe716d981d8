set -u
A=${U:-x} B=${U-} C=${U+y}
