f() { cat <<g; }
