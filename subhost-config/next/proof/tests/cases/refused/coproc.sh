coproc A=1
