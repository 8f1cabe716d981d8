P='C:\Program Files\x' Q="C:\\x"
