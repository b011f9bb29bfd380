"""Transfer against the number of pretraining variants."""
