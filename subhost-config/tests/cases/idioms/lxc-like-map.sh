declare -A LIMITS=(
    [memory]=512M
    [cpu]=2
)
LIMITS[pids]=100
