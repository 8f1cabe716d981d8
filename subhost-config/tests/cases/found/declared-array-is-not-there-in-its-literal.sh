declare A=(${!A@})
