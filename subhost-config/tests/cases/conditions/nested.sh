if true; then
    if false
    then A=1
    else
        if [[ x ]]; then A=2; fi
    fi
fi
