A=x B=${A:?must be set} C=${A?}
