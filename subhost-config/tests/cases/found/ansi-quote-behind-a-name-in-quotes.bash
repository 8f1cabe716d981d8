declare -- A="1"
declare -- B="1"
