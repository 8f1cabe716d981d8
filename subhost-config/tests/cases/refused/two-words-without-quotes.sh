D=two words
