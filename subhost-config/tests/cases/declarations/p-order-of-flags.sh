declare -airx A=(1)
declare -irux B=5
