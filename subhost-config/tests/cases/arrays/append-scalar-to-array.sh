A=(a b) A+=z
B=([1]=b) B+=z
