B="'a b' c" A=($B)
