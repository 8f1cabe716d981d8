A=s A+= A+=''
