getopts a x
