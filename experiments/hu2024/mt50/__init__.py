"""Fifty manipulation tasks, one network, one GPU."""
