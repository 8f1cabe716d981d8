A=abc B=${A/b/[&]} C=${A/b/\&} D=${A/b/"&"} R='<&>' E=${A/b/$R} F=${A/b/"$R"}
