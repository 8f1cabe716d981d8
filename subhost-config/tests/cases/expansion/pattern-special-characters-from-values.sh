P='[ab]' A=abc B=${A#$P} C=${A#"$P"} Q='\a' D=${A#$Q}
