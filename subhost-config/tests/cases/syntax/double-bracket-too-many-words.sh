[[ a b c ]]
