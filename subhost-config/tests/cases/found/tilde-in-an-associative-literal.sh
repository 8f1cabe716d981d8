HOME=/h
declare -A M=([a]=:~ [b]=~ [~]=x)
M+=([c]=a:~); M[~]=~
declare -A N=(~ :~)
