f a b
