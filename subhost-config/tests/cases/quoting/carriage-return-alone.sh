A='xy' B=ab
C=z