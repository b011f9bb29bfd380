"""The generator of bodies beside the original."""
