declare -a A=([0]="s" [1]="")
declare -- B="="
declare -- C=$'=s \177'
