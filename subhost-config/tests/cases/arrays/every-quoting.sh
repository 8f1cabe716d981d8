A=(a 'b c' "d e" f\ g $'h\ni' $"j k")
