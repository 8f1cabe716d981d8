declare -A M=([=]="" )
