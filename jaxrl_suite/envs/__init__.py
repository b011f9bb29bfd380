"""Environments, the protocol they follow, and the sources of experience made of them."""
