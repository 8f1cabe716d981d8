X=X A=$((X))
