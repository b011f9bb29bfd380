"""Directions of a four-legged body: methods compared, new directions included."""
