"""The expert that the directions of the four-legged body are learned from."""
