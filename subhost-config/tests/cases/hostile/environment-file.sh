export BASH_ENV=/tmp/canary ENV=/tmp/canary
