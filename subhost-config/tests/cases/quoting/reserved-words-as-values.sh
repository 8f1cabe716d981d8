A=if B=then C=fi D={ E=} F=[[ G=function H=time I=!
