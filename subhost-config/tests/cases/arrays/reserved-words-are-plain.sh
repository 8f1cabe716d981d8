A=(if then fi { } ! a=b -n + % @ ^ ,)
