shopt -s expand_aliases
alias A='touch /tmp/canary'
