"""One body learns to run."""
