A=$ B=a$ C="$" D="a$ b" E=$% F="$'a'" G=$,
