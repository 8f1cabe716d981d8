X='a[$(touch /tmp/canary)]' S=abc
A=${S:X}
