A=a~ B=a/~ C=x~y
