"""Corrections against policy lag."""
