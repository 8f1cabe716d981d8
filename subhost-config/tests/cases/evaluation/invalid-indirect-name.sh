R='a b' A=${!R}
