HOME=/home/u
A=~ B=~/x C=a:~/y:~ D="~" E=(~ ~/z a:~)
