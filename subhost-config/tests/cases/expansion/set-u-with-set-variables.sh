set -u
A=1 B=$A C=${D:-x} E=${F-} G=("${A[@]}")
