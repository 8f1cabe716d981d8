declare -au C=([0]="b" [1]="0B")
