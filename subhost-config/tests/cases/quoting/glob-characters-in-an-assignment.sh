A=* B=? C=[a-z] D={a,b} E={1..3}
