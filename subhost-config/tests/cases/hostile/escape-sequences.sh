A=$'\e]0;title\a\e[2J' B=$'\r\b\x9b'
