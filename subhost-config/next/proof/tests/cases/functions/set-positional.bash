declare -- A="2"
declare -- B="y z"
