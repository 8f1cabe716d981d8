A=\a\b\n B=x\yz
