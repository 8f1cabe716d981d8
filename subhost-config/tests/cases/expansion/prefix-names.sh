pre_a=1 pre_b=2 other=3
A=(${!pre_*}) B="${!pre_@}" C=("${!pre_@}") D="${!pre_*}"
