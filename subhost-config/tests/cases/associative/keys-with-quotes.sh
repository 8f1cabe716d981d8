declare -A M=(['a b']=1 ["c]d"]=2 [e\ f]=3 [$'g\nh']=4)
