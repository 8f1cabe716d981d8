A=(x y) B=$A C="${A}" D=([1]=y) E=$D
