A='a'"b"c$'d'$"e"\f
B='it'\''s'
C=""''x""
