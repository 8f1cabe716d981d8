declare -A M=([''$(printf '%s\n' ""{,c})"${B[@]}"]=)
