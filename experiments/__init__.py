"""Experiments that reproduce figures; not part of the installed package."""
