A=${B-b c-} C=${D.e}
