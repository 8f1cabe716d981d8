cat <<-'E F'
	"
	E F
