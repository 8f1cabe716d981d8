declare -- A="%"
declare -- B="%"
declare -- C="%x"
