declare -- A="a b"
declare -a B=([0]="1" [1]="2 3")
declare -- C="A='a b'"
declare -- D="declare -a B=([0]=\"1\" [1]=\"2 3\")"
declare -- E="declare -ix I='5'"
declare -ix I="5"
