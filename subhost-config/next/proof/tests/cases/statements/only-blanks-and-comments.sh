
 	
# nothing

