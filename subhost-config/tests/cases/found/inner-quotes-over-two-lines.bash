declare -- A=""
