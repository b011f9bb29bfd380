"""Adversarial skill embeddings (Peng et al. 2022)."""
