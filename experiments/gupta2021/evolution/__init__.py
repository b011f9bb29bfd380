"""Evolution beside random search."""
