A="${U:-it's}"
