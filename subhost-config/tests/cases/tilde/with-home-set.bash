declare -- A="/home/u"
declare -- B="/home/u/x"
declare -- C="a:/home/u/y:/home/u"
declare -- D="~"
declare -a E=([0]="/home/u" [1]="/home/u/z" [2]="a:~")
declare -- HOME="/home/u"
