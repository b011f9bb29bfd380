"""Transfer between Atari variants against the size of the network."""
