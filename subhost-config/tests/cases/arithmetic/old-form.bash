declare -- A="3"
declare -- B="9"
declare -- I="3"
