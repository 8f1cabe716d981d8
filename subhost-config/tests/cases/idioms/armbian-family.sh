case $BRANCH in
    legacy)
        KERNELSOURCE='https://example.org/linux'
        KERNELBRANCH="branch:linux-5.10.y"
        ;;
    current | "")
        declare -g KERNEL_MAJOR_MINOR="6.12"
        ;;
esac
BOOTSCRIPT=${BOOTSCRIPT:-"boot.cmd:boot.cmd"}
OVERLAY_PREFIX='rockchip'
[[ -z $CPUMIN ]] && CPUMIN=408000
CPUMAX=${CPUMAX:="1512000"}
LINUXCONFIG="linux-${OVERLAY_PREFIX}-${BRANCH:-current}"
