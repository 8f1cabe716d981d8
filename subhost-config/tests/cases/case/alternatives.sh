case yes in
[Yy]es | [Tt]rue | 1) A=on;;
*) A=off;;
esac
