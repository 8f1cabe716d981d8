case linux in # c
    # before
    linux) # here
        A=1 # and here
        ;;
    *)
        A=2
        ;;
esac # end
