set -x
