declare -n R=S S=R
A=$R
