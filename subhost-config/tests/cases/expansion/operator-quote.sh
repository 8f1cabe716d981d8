A="it's" B=${A@Q} C='' D=${C@Q} E=$'a\nb' F=${E@Q} G=plain H=${G@Q}
