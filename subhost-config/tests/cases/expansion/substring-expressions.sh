A=abcdef I=2 B=${A:I} C=${A:I:I} D=${A:$I-1:I+1} E=${A:(-3):2} F=${A:I>1?1:0:1}
