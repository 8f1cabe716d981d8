declare -- A=" "
