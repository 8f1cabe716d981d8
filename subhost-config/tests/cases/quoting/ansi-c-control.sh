A=$'\cA\cz\c?\c\\'
