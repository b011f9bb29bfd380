"""What the shipped gaits look like."""
