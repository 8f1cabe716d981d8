builtin true
command true
