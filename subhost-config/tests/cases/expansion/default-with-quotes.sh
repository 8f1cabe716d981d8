A=${U:-a b} B="${U:-a b}" C=(${U:-a b}) D=("${U:-a b}") E=(${U:-"a b" c})
