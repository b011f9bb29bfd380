"""Figures of Gupta et al. 2021: bodies that evolve."""
