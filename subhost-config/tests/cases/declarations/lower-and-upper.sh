declare -l L=ABC
declare -u U=abc
L+=DEF U+=def
