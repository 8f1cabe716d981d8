URL=http://user:pass@host.example:8080/path?query=1\&b=2#frag
PROXY="http://[::1]:3128/"
