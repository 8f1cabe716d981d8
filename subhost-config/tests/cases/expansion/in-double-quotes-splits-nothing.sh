A='a   b' B="${A}" C=("${A/a/x}") D=(${A/a/x})
