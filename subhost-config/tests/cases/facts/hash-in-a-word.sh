A=a#b B=(c#d #e
f)
