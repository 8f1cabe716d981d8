A=(a\
b \
 c\
)
