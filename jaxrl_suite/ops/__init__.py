"""Pure mathematics on one sequence or one array; the caller vmaps."""
