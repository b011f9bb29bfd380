"""Transfer against network capacity."""
