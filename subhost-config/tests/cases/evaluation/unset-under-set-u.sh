set -u
A=$U
