declare A=* B=a[b] C='x y' D=\{a,b\} # c
X='x y'; export E=$X F="$X"
