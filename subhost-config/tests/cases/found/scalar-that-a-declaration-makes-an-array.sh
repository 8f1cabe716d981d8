B=003
declare A=() B=(${B[*]:2})
