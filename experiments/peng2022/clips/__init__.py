"""What the shipped clips look like."""
