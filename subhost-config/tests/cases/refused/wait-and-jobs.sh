jobs
wait
