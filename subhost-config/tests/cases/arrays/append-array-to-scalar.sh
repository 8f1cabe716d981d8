A=s A+=(x y)
B=s B+=()
