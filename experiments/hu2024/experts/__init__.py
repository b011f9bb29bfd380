"""Meta-World's scripted experts, of which the data sets are made."""
