f() { in; }
