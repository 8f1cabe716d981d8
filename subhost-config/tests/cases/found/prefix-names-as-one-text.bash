declare -- B="p:pe"
declare -- IFS=":"
declare -- p=""
declare -- pe=""
