declare -p A
declare
export
