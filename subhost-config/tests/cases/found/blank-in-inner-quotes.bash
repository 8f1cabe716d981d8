declare -- A=" "
declare -- B=" x"
