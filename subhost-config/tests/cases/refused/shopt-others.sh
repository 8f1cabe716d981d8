shopt -s dotglob
