A=${U:?must be set}
