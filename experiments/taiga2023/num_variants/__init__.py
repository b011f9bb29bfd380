"""Transfer between Atari variants against the number of pretraining variants."""
