"""Scores of the random policy on every legal variant."""
