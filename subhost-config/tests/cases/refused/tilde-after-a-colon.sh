A=a:~
