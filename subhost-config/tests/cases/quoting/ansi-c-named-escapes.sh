A=$'\a\b\e\E\f\n\r\t\v\\\'\"\?'
