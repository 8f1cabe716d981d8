HOOKS=(base udev keyboard fsck)
for h in "${HOOKS[@]}"; do [[ $h == keyboard ]] || KEPT+=("$h"); done
HOOKS=("${KEPT[@]}")
unset KEPT h
