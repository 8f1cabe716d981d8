MAC=06:a7:dd:b4:02:f2
A=${MAC^^} B=${MAC//:/} C=${MAC:0:8} D=${MAC%%:*}
