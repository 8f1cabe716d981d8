printf -v D -'s'
