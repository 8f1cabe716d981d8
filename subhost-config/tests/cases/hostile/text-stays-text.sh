A='$(touch /tmp/canary)' B='`touch /tmp/canary`' C='a[$(touch /tmp/canary)]'
D=$A E="$B" F=($C) G="${A}${B}"
