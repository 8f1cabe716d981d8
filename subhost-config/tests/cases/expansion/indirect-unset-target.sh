R=nothing A=${!R:-d}
