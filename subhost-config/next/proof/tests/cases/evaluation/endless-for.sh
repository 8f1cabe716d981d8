for ((;;)); do :; done
