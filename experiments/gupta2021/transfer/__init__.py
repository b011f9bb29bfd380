"""Evolved bodies in tasks that they were not evolved for."""
